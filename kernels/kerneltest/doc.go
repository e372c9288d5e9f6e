// Package kerneltest tests and measures every row of the kernel table: one test body, one benchmark body.
//
// Run draws cases pairwise (every pair of levels of any two factors occurs) from a seed that it prints, as many sets
// as it is told: shapes of tile tails, short and long sums, bases aligned to the element alone, buffers that end or
// begin at an unmapped page (on Linux), NaN, infinities, subnormals, ties, extremes and saturating integers, epilogues,
// operands that share memory. It compares with a loop that follows the definitions in kernels/spec word by word, and checks
// that arguments, inputs and what lies around and between the rows of the output stay as they were.
//
// Importers: tests only. A new row needs no new test.
package kerneltest
