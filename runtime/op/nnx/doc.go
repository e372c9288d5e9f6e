// Package nnx holds recurrent layers and attention: ONNX's, those of com.microsoft, and TFLite's as operators of our own.
//
// Products are FMA chains in the order of the reduced index, so that every machine gives the same bytes: a gate's chain
// starts from the bias and runs over the input, then over the hidden state; a score's runs over the head, an attended
// value's over the keys. f16 and bf16 are widened to f32; f64 is computed in f64.
//
// States (of recurrent layers, caches of keys and values) are inputs and outputs like all others. TFLite's recurrent
// operators take their inputs in TFLite's order, states among them, and give the outputs first, then the new activation
// states, then the new cell states.
//
// Importers: runtime/ops.
package nnx
