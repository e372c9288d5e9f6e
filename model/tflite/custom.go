package tflite

import (
	"encoding/binary"

	"github.com/edgerun/edgerun/internal/attr"
)

// customs are the custom operators: TensorFlow's for detectors, and MediaPipe's whose options are the structs of builtin operators.
var customs = map[string]func(*builder){
	"TFLite_Detection_PostProcess": detection,
	"Convolution2DTransposeBias":   transposeConvBias,
	"MaxPoolingWithArgmax2D":       maxPoolArgmax,
	"MaxUnpooling2D":               maxUnpool,
}

// refusedCustoms are known ones that are not translated, and why.
var refusedCustoms = map[string]string{
	"Landmarks2TransformMatrix": "only MediaPipe's face meshes with attention use it",
	"TransformTensorBilinear":   "only MediaPipe's face meshes with attention use it",
	"TransformTensor":           "only MediaPipe's face meshes with attention use it",
	"TransformLandmarks":        "only MediaPipe's face meshes with attention use it",
}

// words reads custom options that are a struct of at least n 32-bit integers.
func (b *builder) words(n int) []int {
	if len(b.custom) < 4*n {
		b.fail("%w: %d bytes of options, want %d", ErrFormat, len(b.custom), 4*n)
		return make([]int, n)
	}
	w := make([]int, n)
	for i := range w {
		w[i] = int(int32(binary.LittleEndian.Uint32(b.custom[4*i:])))
	}
	return w
}

// structPadding names the padding of such a struct, which counts from 1.
func structPadding(b *builder, mode int) string { return padding(b, mode-1) }

// transposeConvBias: padding, stride_width, stride_height. SAME pads by what the last step leaves of the kernel, so that the output
// of an odd extent is shorter than TRANSPOSE_CONV's.
func transposeConvBias(b *builder) {
	o := b.words(3)
	x, w := b.i(0), b.i(1)
	mode := structPadding(b, o[0])
	strides := []int{o[2], o[1]}
	if len(x.Shape) != 4 || len(w.Shape) != 4 || strides[0] < 1 || strides[1] < 1 {
		b.fail("%w: strides %v, weights %v and input %v", ErrFormat, strides, w.Shape, x.Shape)
		return
	}
	out := make([]int, 2)
	for i, s := range strides {
		n, k := x.Shape[1+i], w.Shape[1+i]
		if n < 1 || k < 1 || n > 1<<24 || k > 1<<24 || s > 1<<6 {
			b.fail("stride %d for weights %v and input %v: %w", s, w.Shape, x.Shape, ErrUnsupported)
			return
		}
		out[i] = s*(n-1) + k
		if mode == "SAME_UPPER" {
			out[i] -= max(0, k-(n-1)%s-1)
		}
	}
	a := attr.Attrs{"layout": "NHWC", "auto_pad": mode}
	a.Set("strides", strides)
	a.Set("output_shape", out)
	b.node("ConvTranspose", b.o(0), a, inputs(x, b.moved(w, []int{3, 1, 2, 0}), b.maybe(2))...)
}

// windowAttrs: padding, stride_width, stride_height, filter_width, filter_height, activation.
func (b *builder) windowAttrs() attr.Attrs {
	o := b.words(6)
	if o[5] != 0 {
		b.fail("fused activation %d: %w", o[5], ErrUnsupported)
	}
	a := attr.Attrs{"auto_pad": structPadding(b, o[0])}
	a.Set("strides", []int{o[2], o[1]})
	a.Set("kernel_shape", []int{o[4], o[3]})
	return a
}

func maxPoolArgmax(b *builder) {
	n := b.node("mediapipe.MaxPoolArgmax", b.o(0), b.windowAttrs(), b.i(0))
	if len(b.out) > 1 {
		n.Out = append(n.Out, b.o(1))
	}
}

func maxUnpool(b *builder) { b.node("mediapipe.MaxUnpool", b.o(0), b.windowAttrs(), b.i(0), b.i(1)) }
