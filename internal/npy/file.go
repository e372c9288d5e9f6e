package npy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/edgerun/edgerun/internal/tensor"
)

// NoteSchema is the schema field of a note.
const NoteSchema = "edgerun.npy/1"

const maxNote = 1 << 16

type note struct {
	Schema string `json:"schema"`
	DType  string `json:"dtype"`
}

// notePath is x.json for x.npy.
func notePath(path string) string { return strings.TrimSuffix(path, ".npy") + ".json" }

// ReadFile reads path and the note beside it, if there is one of ours. The note's element type wins.
func ReadFile(path string) (*tensor.Tensor, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	want, err := readNote(notePath(path))
	if err != nil {
		return nil, err
	}
	t, err := read(f, st.Size(), want)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// readNote returns Invalid where there is no note, or a file of another kind in its place.
func readNote(path string) (tensor.DType, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return tensor.Invalid, nil
	}
	if err != nil {
		return tensor.Invalid, err
	}
	if st.Size() > maxNote || !st.Mode().IsRegular() {
		return tensor.Invalid, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return tensor.Invalid, err
	}
	var n note
	if json.Unmarshal(raw, &n) != nil || n.Schema != NoteSchema {
		return tensor.Invalid, nil
	}
	d, err := tensor.ParseDType(n.DType)
	if err != nil || d == tensor.Sequence {
		return tensor.Invalid, fmt.Errorf("%s: %w: element type %q", path, ErrFormat, n.DType)
	}
	return d, nil
}

// WriteFile writes t to path, and the note beside it where the element type needs one. Where it needs none, a note
// of ours that an earlier file left is removed.
func WriteFile(path string, t *tensor.Tensor) error {
	var b bytes.Buffer
	if err := Write(&b, t); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		return err
	}
	np := notePath(path)
	if _, needed := storage(t.DType); !needed {
		if d, err := readNote(np); err != nil || d != tensor.Invalid {
			return os.Remove(np)
		}
		return nil
	}
	raw, err := json.Marshal(note{NoteSchema, t.DType.String()})
	if err != nil {
		return err
	}
	return os.WriteFile(np, append(raw, '\n'), 0o666)
}

// maxName is the longest file name that FileName makes, in bytes; the caller adds a prefix and a suffix.
const maxName = 200

// FileName turns the names of tensors into names that are safe as parts of file names, in the same order. '/', ':' and
// whatever else a common file system refuses become '_'. Names that are safe already stay as they are; where two become
// equal, the later one gets an index.
func FileName(names []string) []string {
	out := make([]string, len(names))
	used := make(map[string]bool, len(names))
	next := map[string]int{}
	for i, n := range names {
		if s := safe(n); s == n && !used[n] {
			out[i], used[n] = n, true
		}
	}
	for i, n := range names {
		if out[i] != "" {
			continue
		}
		s := safe(n)
		c := s
		for used[c] {
			next[s]++
			c = s + "_" + strconv.Itoa(next[s])
		}
		out[i], used[c] = c, true
	}
	return out
}

func safe(n string) string {
	s := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, n)
	for len(s) > maxName {
		_, k := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-k]
	}
	if strings.Trim(s, ".") == "" {
		return strings.Repeat("_", max(1, len(s)))
	}
	return s
}
