package pipeline

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// maxLabelBytes bounds a label list as text.
const maxLabelBytes = 16 << 20

// ParseLabels reads labels: a JSON list; a dictionary from number to name, as JSON or as Python prints it; or one per line
// (a final line end is not an empty label). Lines of the form "number name", numbered 0, 1, 2, ... throughout,
// lose their numbers.
func ParseLabels(s string) ([]string, error) {
	if len(s) > maxLabelBytes {
		return nil, fmt.Errorf("labels: %d bytes, limit %d", len(s), maxLabelBytes)
	}
	trimmed := strings.TrimSpace(s)
	var list []string
	if strings.HasPrefix(trimmed, "[") && json.Unmarshal([]byte(trimmed), &list) == nil {
		return list, nil
	}
	if strings.HasPrefix(trimmed, "{") && strings.HasSuffix(trimmed, "}") {
		if list, ok := parseDict(trimmed); ok {
			return list, nil
		}
	}
	list = strings.Split(strings.TrimSuffix(strings.ReplaceAll(s, "\r\n", "\n"), "\n"), "\n")
	numbered := len(list) > 1
	for i, l := range list {
		n, _, ok := strings.Cut(strings.TrimSpace(l), " ")
		numbered = numbered && ok && strings.TrimSuffix(n, ":") == strconv.Itoa(i)
	}
	if numbered {
		for i, l := range list {
			_, list[i], _ = strings.Cut(strings.TrimSpace(l), " ")
			list[i] = strings.TrimSpace(list[i])
		}
	}
	if len(list) > maxLabels {
		return nil, fmt.Errorf("labels: %d, limit %d", len(list), maxLabels)
	}
	return list, nil
}

// parseDict reads {0: 'a', "1": "b"}: numbers from 0 without gaps, names in either kind of quotes.
func parseDict(s string) ([]string, bool) {
	s = s[1 : len(s)-1]
	m := map[int]string{}
	for {
		s = strings.TrimLeft(s, " \t\r\n,")
		if s == "" {
			break
		}
		key, rest, ok := strings.Cut(s, ":")
		if !ok {
			return nil, false
		}
		n, err := strconv.Atoi(strings.Trim(strings.TrimSpace(key), `"'`))
		rest = strings.TrimLeft(rest, " \t\r\n")
		if err != nil || rest == "" || rest[0] != '\'' && rest[0] != '"' {
			return nil, false
		}
		var b strings.Builder
		i := 1
		for ; i < len(rest) && rest[i] != rest[0]; i++ {
			if rest[i] == '\\' && i+1 < len(rest) {
				i++
			}
			b.WriteByte(rest[i])
		}
		if i >= len(rest) {
			return nil, false
		}
		m[n] = b.String()
		s = rest[i+1:]
	}
	list := make([]string, len(m))
	for i := range list {
		v, ok := m[i]
		if !ok {
			return nil, false
		}
		list[i] = v
	}
	return list, len(list) > 0
}

// TFLiteLabels finds the labels that TFLite metadata attaches to a model file: the first text file, by name, of the zip
// archive at its end. nil where there is none.
func TFLiteLabels(file []byte) ([]string, error) {
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, nil // no archive: no labels
	}
	files := slices.Clone(z.File)
	slices.SortStableFunc(files, func(a, b *zip.File) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range files {
		if !strings.HasSuffix(f.Name, ".txt") {
			continue
		}
		if f.UncompressedSize64 > maxLabelBytes {
			return nil, fmt.Errorf("labels: %s has %d bytes, limit %d", f.Name, f.UncompressedSize64, maxLabelBytes)
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("labels: %s: %w", f.Name, err)
		}
		defer r.Close()
		b, err := io.ReadAll(io.LimitReader(r, maxLabelBytes))
		if err != nil {
			return nil, fmt.Errorf("labels: %s: %w", f.Name, err)
		}
		return ParseLabels(string(b))
	}
	return nil, nil
}

func label(labels []string, i int) string {
	if i >= 0 && i < len(labels) {
		return labels[i]
	}
	return ""
}
