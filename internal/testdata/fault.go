package testdata

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/edgerun/edgerun/internal/mem"
)

// NeedFaults skips the test where files are not mapped, or where a fault in one does not come with its address, as under emulators.
func NeedFaults(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "probe")
	if err := os.WriteFile(path, make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := mem.Open(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if !m.Mapped() {
		t.Skip("files are not mapped here")
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if _, ok := recover().(interface{ Addr() uintptr }); !ok && runtime.GOARCH != "amd64" {
			t.Skip("the address of a fault is not told here")
		}
		runtime.KeepAlive(m)
	}()
	probe = m.Data[0]
}

var probe byte
