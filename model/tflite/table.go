package tflite

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// function translates operators that have tables for 16 bits.
func function(op string) func(*builder) {
	return func(b *builder) {
		scale := float32(0)
		if op == "Tanh" {
			scale = 1.0 / 32768
		}
		if b.onTables(scale) {
			b.node("tflite."+op, b.o(0), nil, b.i(0))
			return
		}
		b.node(op, b.o(0), nil, b.i(0))
	}
}

// onTables reports whether an operator of one input is given symmetric values of 16 bits, and gives such with the scale, if it is not 0.
func (b *builder) onTables(scale float32) bool {
	for _, v := range []*model.Value{b.i(0), b.o(0)} {
		if v.DType != tensor.I16 || v.Quant == nil || !v.Quant.PerTensor() || v.Quant.ZeroAt(0) != 0 {
			return false
		}
	}
	return scale == 0 || b.o(0).Quant.Scale[0] == scale
}
