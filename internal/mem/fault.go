package mem

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// ErrLost is wrapped by errors that name a mapped file which could not be read.
var ErrLost = errors.New("was truncated or cannot be read any more")

// Fault returns the error that a recovered panic stands for where that came of reading a mapped file, and nil where it came of no fault. A fault
// at any other address is a defect of the program, perhaps with damage done: it panics again.
//
// Faults panic in goroutines that have called debug.SetPanicOnFault, and end the process in others. That holds within assembly, too, as long as it leaves
// the stack pointer alone.
func Fault(r any) error {
	f, ok := r.(interface {
		runtime.Error
		Addr() uintptr
	})
	if !ok {
		return nil
	}
	if name, ok := files.nameAt(f.Addr()); ok {
		return fmt.Errorf("the file %s %w", name, ErrLost)
	}
	panic(r)
}

// Recover makes an error of a panic that came of reading a mapped file, and leaves other panics as they are. It is to be deferred as
//
//	defer mem.Recover(&err, debug.SetPanicOnFault(true))
//
// and sets the goroutine back to what it was before.
func Recover(err *error, before bool) {
	debug.SetPanicOnFault(before)
	if r := recover(); r != nil {
		if *err = Fault(r); *err == nil {
			panic(r)
		}
	}
}

// Parallel calls f for 0 ... n-1 on as many goroutines as Go runs at once. The first panic ends the work and is raised again in the caller; that of
// reading a mapped file, too.
func Parallel(n int, f func(int)) {
	var next atomic.Int64
	var failed atomic.Pointer[any]
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			debug.SetPanicOnFault(true)
			defer func() {
				if r := recover(); r != nil {
					failed.CompareAndSwap(nil, &r)
				}
			}()
			for i := int(next.Add(1)) - 1; i < n && failed.Load() == nil; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
	if r := failed.Load(); r != nil {
		panic(*r)
	}
}

// nameAt names the file that the page of an address is mapped from.
func (r *ranges) nameAt(at uintptr) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.before(at)
	if page := uintptr(os.Getpagesize()); i < 0 || at >= (r.list[i].to+page-1)&^(page-1) {
		return "", false
	}
	return r.list[i].name, true
}
