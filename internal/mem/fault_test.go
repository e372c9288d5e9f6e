package mem_test

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/testdata"
)

// lost is a mapping whose file was cut short afterwards.
func lost(t *testing.T) *mem.Mapping {
	t.Helper()
	testdata.NeedFaults(t)
	path := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(path, make([]byte, 1<<16+100), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := mem.Open(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	return m
}

// reads are ways to read memory: in Go, in the assembly of the runtime, and in that of other packages, on this and on other goroutines.
var reads = map[string]func(b []byte){
	"load":       func(b []byte) { sink = b[len(b)-1] },
	"copy":       func(b []byte) { sink = append([]byte(nil), b...)[0] },
	"hash":       func(b []byte) { s := sha256.Sum256(b); sink = s[0] },
	"goroutines": func(b []byte) { mem.Parallel(len(b), func(i int) { _ = string(b[i : i+1]) }) },
}

var sink byte

func TestFaultsInMappedFilesAreErrors(t *testing.T) {
	for name, read := range reads {
		m := lost(t)
		err := func() (err error) {
			defer mem.Recover(&err, debug.SetPanicOnFault(true))
			read(m.Data)
			return nil
		}()
		if !errors.Is(err, mem.ErrLost) || !strings.Contains(err.Error(), "weights") {
			t.Errorf("%s: %v", name, err)
		}
		runtime.KeepAlive(m)
	}
	if debug.SetPanicOnFault(false) {
		t.Error("the goroutine keeps panicking on faults")
	}
}

// Other panics and faults at other addresses stay what they are.
func TestOtherPanicsStay(t *testing.T) {
	m := lost(t)
	data := m.Data
	defer m.Forget()()
	for name, f := range map[string]func(){
		"panic": func() { panic("boom") },
		"index": func() { sink = data[len(os.Args)+len(data)] },
		"nil":   func() { var p *mem.Mapping; sink = p.Data[0] },
		"fault": func() { sink = data[0] },
	} {
		var err error
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s became %v", name, err)
				}
			}()
			defer mem.Recover(&err, debug.SetPanicOnFault(true))
			f()
		}()
	}
	runtime.KeepAlive(m)
}
