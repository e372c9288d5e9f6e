// Package kernels is the table of all kernels, and the choice among them.
//
// # Rows
//
// A kernel is one row (spec.Row): operation, types, tile, CPU features, class of results, name, function. The rows of an
// instruction set are listed best first, and those of kernels/ref, in plain Go, end every chain; the first row whose needs
// the CPU meets wins. The same table drives dispatch, the differential test and the benchmark (kernels/kerneltest) and
// `edgerun kernels`, for any machine on any host. A new kernel is one assembly file, one row and one binding.
//
// # Names
//
// A name is operation, type, instruction set and tile: gemmI8Dot8x12 is an 8-bit matrix product made of dot-product
// instructions, with 8 rows by 12 columns per tile. Where input and weights differ both types are named (gemmU8I8...),
// as is the output where sums are requantised (gemmI8Q...). In assembly the file is src/<op>_<types>_<isa>.S and the symbol is
// the row's name.
//
// # Tiles
//
// One call computes at most MR rows by NR columns of the result: the register tile. A is read where it lies, row by row,
// through an index of rows where a convolution has several taps; B comes packed in panels of NR columns. KR is the number
// of consecutive k that one instruction multiplies and sums (4 for dot products of bytes, 1 for floats). A depthwise
// kernel computes a row of any number of positions and channels; it takes MR positions by NR channels at once.
//
// # Rows that measure
//
// Peak and Read compute nothing that a model needs: they tell what the arithmetic units and the levels of memory can do, and
// runtime/peak runs them.
//
// # Who may import what
//
// kernels/spec imports internal/tensor and internal/cpu; the packages of rows import spec and internal; kernels imports
// these. kernels never imports model or runtime; runtime/op drives the rows.
package kernels
