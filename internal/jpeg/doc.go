// Package jpeg decodes JPEG files to their components, byte for byte as libjpeg's default decoder does: the standard library's
// inverse transform rounds differently, which is enough to move the answer of a classifier now and then.
//
// It reads baseline, extended sequential and progressive files of 8 bits with Huffman coding and one, three or four
// components. Interpolating chroma and converting colours is the caller's business. Importers: pipeline/pixel and runtime/op/move.
package jpeg
