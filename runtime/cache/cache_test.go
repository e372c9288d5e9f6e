package cache

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgerun/edgerun/internal/mem"
)

func sample(n int) []Section {
	large := make([]byte, 3*blockSize+5)
	for i := range large {
		large[i] = byte(i*i + n)
	}
	return []Section{{"small", []byte(fmt.Sprint("data ", n))}, {"empty", []byte{}}, {"large", large}, {"", []byte("no name")}}
}

func open(t *testing.T, path string, limit int64) *Dir {
	t.Helper()
	d, err := Open(path, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func same(a, b []Section) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name || !bytes.Equal(a[i].Data, b[i].Data) {
			return false
		}
	}
	return true
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d := open(t, path, 0)
	key := KeyOf("x")
	if _, err := d.Read("k", key, true); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a file that is not there: %v", err)
	}
	for i := range 2 { // the second one replaces the first
		if err := d.Write("k", key, sample(i)); err != nil {
			t.Fatal(err)
		}
		for _, all := range []bool{true, false} {
			f, err := d.Read("k", key, all)
			if err != nil {
				t.Fatal(err)
			}
			if !same(f.Sections, sample(i)) {
				t.Error("other sections come back")
			}
			if b, ok := f.Find("small"); !ok || string(b) != fmt.Sprint("data ", i) {
				t.Errorf("found %q", b)
			}
			if _, ok := f.Find("other"); ok {
				t.Error("found what is not there")
			}
		}
	}
	f, err := d.Reread("k", key)
	if err != nil || !same(f.Sections, sample(1)) {
		t.Errorf("%v", err)
	}
	list, _ := os.ReadDir(path)
	if len(list) != 1 {
		t.Errorf("%d files", len(list))
	}
	st, _ := list[0].Info()
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	if err := d.Write("none", key, nil); err != nil {
		t.Fatal(err)
	}
	if f, err := d.Read("none", key, true); err != nil || len(f.Sections) != 0 {
		t.Errorf("%v", err)
	}
}

func TestKeysDiffer(t *testing.T) {
	seen := map[Key]bool{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"b", "a"}, {"a", "", "b"}} {
		seen[KeyOf(parts...)] = true
	}
	if len(seen) != 7 {
		t.Errorf("%d keys of 7 lists", len(seen))
	}
	if Build() == "" {
		t.Error("this build has no name")
	}
}

// Whatever byte is wrong, wherever the file ends, and whichever key it is of: it is noticed, and the file goes.
func TestDamage(t *testing.T) {
	path := t.TempDir()
	d := open(t, path, 0)
	key, other := KeyOf("x"), KeyOf("y")
	if err := d.Write("k", key, sample(0)[:2]); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(path, d.name("k", key))
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := d.Read("k", key, true)
	if err != nil {
		t.Fatal(err)
	}
	used := make([]bool, len(good)) // padding apart
	for i := range headerSize - 8 {
		used[i] = true
	}
	for i := headerSize; i < headerSize+48+len("small")+len("empty"); i++ {
		used[i] = true
	}
	at := bytes.Index(good, f.Sections[0].Data)
	for i := range f.Sections[0].Data {
		used[at+i] = true
	}
	try := func(what string, b []byte, key Key) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(path, d.name("k", key)), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Read("k", key, false); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Stat(filepath.Join(path, d.name("k", key))); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the file is still there: %v", what, err)
		}
	}
	for i := range good {
		if used[i] {
			b := bytes.Clone(good)
			b[i] ^= 4
			try(fmt.Sprint("byte ", i), b, key)
		}
	}
	for i := range good {
		try(fmt.Sprint("truncated to ", i), good[:i], key)
	}
	try("longer", append(bytes.Clone(good), 0), key)
	try("another key", good, other)
}

func TestOthersMayNotWrite(t *testing.T) {
	path := t.TempDir()
	d := open(t, path, 0)
	key := KeyOf("x")
	if err := d.Write("k", key, sample(0)); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(path, d.name("k", key))
	for _, mode := range []fs.FileMode{0o620, 0o602, 0o666} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Read("k", key, true); !errors.Is(err, ErrUntrusted) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read("k", key, true); err != nil {
		t.Errorf("readable by all: %v", err)
	}
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, 0); !errors.Is(err, ErrUntrusted) {
		t.Errorf("a folder that all may write: %v", err)
	}
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(name, 12345, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read("k", key, true); !errors.Is(err, ErrUntrusted) {
		t.Errorf("somebody else's file: %v", err)
	}
	if err := os.Chown(path, 12345, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, 0); !errors.Is(err, ErrUntrusted) {
		t.Errorf("somebody else's folder: %v", err)
	}
}

// A link in the folder leads nowhere outside of it, and to what is no regular file neither.
func TestLinks(t *testing.T) {
	path := t.TempDir()
	d := open(t, path, 0)
	key := KeyOf("x")
	if err := d.Write("k", key, sample(0)); err != nil {
		t.Fatal(err)
	}
	name, outside := filepath.Join(path, d.name("k", key)), filepath.Join(t.TempDir(), "file")
	if err := os.Rename(name, outside); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, name); err != nil {
		t.Skip(err)
	}
	if _, err := d.Read("k", key, true); err == nil {
		t.Error("a link out of the folder was followed")
	}
	if err := errors.Join(os.Remove(name), os.Mkdir(name, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read("k", key, true); err == nil {
		t.Error("a folder was read")
	}
}

func TestLimit(t *testing.T) {
	path := t.TempDir()
	one := make([]byte, 10_000)
	d := open(t, path, 35_000)
	for i := range 6 {
		if err := d.Write("k", KeyOf(fmt.Sprint(i)), []Section{{"x", one}}); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(time.Duration(i-10) * time.Minute)
		if err := os.Chtimes(filepath.Join(path, d.name("k", KeyOf(fmt.Sprint(i)))), old, old); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 6 {
		if _, err := d.Read("k", KeyOf(fmt.Sprint(i)), true); (err == nil) != (i >= 4) {
			t.Errorf("file %d: %v", i, err)
		}
	}
	if err := d.Write("k", KeyOf("large"), []Section{{"x", make([]byte, 40_000)}}); err == nil {
		t.Error("a file over the limit was written")
	}
	// What an interrupted writer left goes after a while.
	for _, age := range []time.Duration{time.Minute, 3 * time.Hour} {
		name := filepath.Join(path, tempPrefix+age.String())
		if err := errors.Join(os.WriteFile(name, one, 0o600), os.Chtimes(name, time.Time{}, time.Now().Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Write("k", KeyOf("last"), nil); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(path, tempPrefix+"*"))
	if len(left) != 1 || !strings.HasSuffix(left[0], time.Minute.String()) {
		t.Errorf("temporary files that are left: %v", left)
	}
}

// Readers see one writer's file or another's, never parts.
func TestManyAtOnce(t *testing.T) {
	path := t.TempDir()
	key := KeyOf("x")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			d, err := Open(path, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close()
			for range 10 {
				if err := d.Write("k", key, sample(i)); err != nil {
					t.Error(err)
				}
				f, err := d.Read("k", key, true)
				if err != nil {
					t.Error(err)
					continue
				}
				n := f.Sections[0].Data[len("data ")] - '0'
				if n > 3 || !same(f.Sections, sample(int(n))) {
					t.Error("a file of two writers")
				}
			}
		})
	}
	wg.Wait()
	if left, _ := os.ReadDir(path); len(left) != 1 {
		t.Errorf("%d files are left", len(left))
	}
}

func TestScratch(t *testing.T) {
	path := t.TempDir()
	d := open(t, path, 1<<20)
	s, err := d.Scratch()
	if err != nil {
		t.Fatal(err)
	}
	if list, _ := os.ReadDir(path); len(list) != 0 {
		t.Error("the file has a name")
	}
	a, err := s.Make(100_000)
	if err != nil {
		t.Skip(err) // not on this system
	}
	b, err := s.Make(1)
	if err != nil {
		t.Fatal(err)
	}
	b[0] = 7
	for i := range a {
		a[i] = byte(i)
	}
	mem.Drop(a)
	for i := range a {
		if a[i] != byte(i) {
			t.Fatal("dropped data are lost")
		}
	}
	if b[0] != 7 {
		t.Error("blocks overlap")
	}
	if _, err := s.Make(1 << 20); err == nil {
		t.Error("more than the limit was given")
	}
}

func FuzzRead(f *testing.F) {
	path := f.TempDir()
	d, err := Open(path, 0)
	if err != nil {
		f.Fatal(err)
	}
	key := KeyOf("x")
	if err := d.Write("k", key, sample(0)[:2]); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(path, d.name("k", key)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if file, err := read(r, int64(len(b)), key, true, true); err == nil {
			for _, s := range file.Sections {
				_ = bytes.Clone(s.Data)
			}
		}
	})
}
