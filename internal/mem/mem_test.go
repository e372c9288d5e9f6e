package mem

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestMapAndDrop(t *testing.T) {
	want := make([]byte, 5*os.Getpagesize()+17)
	for i := range want {
		want[i] = byte(i * 7)
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := Open(path, int64(len(want)))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]int{{0, len(want)}, {1, len(want) - 1}, {17, os.Getpagesize()}, {100, 200}, {len(want) - 1, len(want)}} {
		Drop(m.Data[r[0]:r[1]])
		if !bytes.Equal(m.Data, want) {
			t.Fatalf("dropping %v changed the data", r)
		}
	}
	if m.Mapped() != (files.around(m.Data, nearby) != nil) {
		t.Error("the list of mapped files is wrong")
	}
	if _, err := Open(path, int64(len(want))-1); err == nil {
		t.Error("a file over the limit was mapped")
	}
	if _, err := Open(t.TempDir(), 1<<20); err == nil {
		t.Error("a folder was mapped")
	}
	runtime.KeepAlive(m)
}

// What is no file stays as it is.
func TestDropOfOtherMemory(t *testing.T) {
	heap, block := make([]byte, 1<<16), NewBlock(1<<16)
	for _, b := range [][]byte{heap, block.Data} {
		for i := range b {
			b[i] = 5
		}
		Drop(b)
		if bytes.IndexFunc(b, func(r rune) bool { return r != 5 }) >= 0 {
			t.Error("data were lost")
		}
	}
	runtime.KeepAlive(block)
	if b := NewBlock(0); b.Data == nil || len(b.Data) != 0 {
		t.Errorf("an empty block has %v", b.Data)
	}
}

func TestMappingsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		files.mu.Lock()
		defer files.mu.Unlock()
		return len(files.list)
	}
	before := count()
	for range 50 {
		if _, err := Open(path, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; count() > before+5; i++ {
		if i == 100 {
			t.Fatalf("%d mappings are left", count()-before)
		}
		runtime.GC()
		runtime.Gosched()
	}
}
