//go:build !linux

package kerneltest

// region is plain memory where pages cannot be guarded.
type region struct{ mem []byte }

func (r *region) bytes(n int) []byte {
	if len(r.mem) < n {
		r.mem = make([]byte, n)
	}
	return r.mem
}

func (r *region) free() {}
