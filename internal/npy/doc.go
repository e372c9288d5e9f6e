// Package npy reads and writes NumPy's array files, versions 1 to 3 of the format.
//
// Element types that NumPy lacks are stored in one that it has, and a note beside the file (x.json for x.npy) says
// which type is meant: {"schema":"edgerun.npy/1","dtype":"bf16"}. bf16 is stored as uint16; (u)int4 and (u)int2 one
// element per byte as int8 or uint8; the 8- and 4-bit floats one code per byte as uint8. Strings are fixed-width
// unicode. Sequences cannot be stored.
//
// Anything may import npy; it needs internal/tensor only.
package npy
