// Package signal holds operators on sampled signals: Fourier transforms, windows and mel weights.
//
// Arithmetic is float64 in steps whose rounding is spelled out, sines and cosines included, and results are rounded
// once to the output's type, so that they are the same on every machine. Package runtime/ops imports it.
package signal
