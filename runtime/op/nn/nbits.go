package nn

import (
	"fmt"
	"hash/fnv"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// The inputs of com.microsoft.MatMulNBits: A, B (u8 [N, blocks, block_size*bits/8], low bits first), scales [N, blocks], zero_points
// (packed like B's elements, each row from a new byte; or of the scales' type), g_idx, bias.
var nbitsOps = map[string]op.Op{
	"com.microsoft.MatMulNBits": {Infer: inferNBits, Prepare: prepareNBits, Traits: op.PlainIntegers},
}

func inferNBits(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	if err := c.Want(0, anyFloat...); err != nil {
		return err
	}
	if err := c.Want(1, tensor.U8); err != nil {
		return err
	}
	k, n := c.Attrs.Int("K", 0), c.Attrs.Int("N", 0)
	if k < 1 || n < 1 || k > 1<<30 || n > 1<<30 {
		return c.Errorf("attributes K %d and N %d must be positive", k, n)
	}
	a := c.In[0].Shape
	if a == nil {
		c.Set(0, c.In[0].DType, nil)
		return nil
	}
	if len(a) == 0 || a[len(a)-1] >= 0 && a[len(a)-1] != k {
		return c.Errorf("input %v for K %d", a, k)
	}
	s := a.Clone()
	s[len(s)-1] = n
	c.Set(0, c.In[0].DType, s)
	return nil
}

// nbits reads weights of a few bits with a scale and zero point per block of k.
type nbits struct {
	bits, block, blocks, k int
	w, scale, zero         *tensor.Tensor
	zeroStride             int // bytes of packed zero points per row
}

func prepareNBits(c *op.Call) (op.Run, error) {
	q := &nbits{bits: c.Attrs.Int("bits", 4), block: c.Attrs.Int("block_size", 0), k: c.Attrs.Int("K", 0), w: c.In[1], scale: c.In[2], zero: c.Input(3)}
	n := c.Attrs.Int("N", 0)
	if q.bits != 2 && q.bits != 4 && q.bits != 8 {
		return nil, c.Errorf("bits %d, want 2, 4 or 8", q.bits)
	}
	if q.block < 16 || q.block > 1<<20 || q.block&(q.block-1) != 0 {
		return nil, c.Errorf("block_size %d, want a power of two of at least 16", q.block)
	}
	if g := c.Input(4); g != nil && g.Len() > 0 {
		return nil, c.Errorf("input g_idx unsupported")
	}
	q.blocks = ceil(q.k, q.block)
	q.zeroStride = ceil(q.blocks*q.bits, 8)
	if q.w.Len() != n*q.blocks*q.block*q.bits/8 || q.scale.Len() != n*q.blocks {
		return nil, c.Errorf("weights %v and scales %v do not fit K %d, N %d and block_size %d", q.w.Shape, q.scale.Shape, q.k, n, q.block)
	}
	if err := c.Want(2, anyFloat...); err != nil {
		return nil, err
	}
	if z := q.zero; z != nil {
		if want := map[bool]int{true: n * q.zeroStride, false: n * q.blocks}[z.DType == tensor.U8]; z.Len() != want || z.DType != tensor.U8 && !z.DType.IsFloat() {
			return nil, c.Errorf("zero points %v, want %d", z, want)
		}
	}
	bias := c.Input(5)
	if bias != nil && bias.Len() != n {
		return nil, c.Errorf("bias %v for N %d", bias.Shape, n)
	}
	if err := wantFloats(c, bias); err != nil {
		return nil, err
	}
	if q.zero != nil && q.zero.DType != tensor.U8 {
		if err := wantFloats(c, q.zero); err != nil {
			return nil, err
		}
	}
	scales, zeros := newFloats(c, q.scale), (*floats)(nil)
	if q.zero != nil && q.zero.DType != tensor.U8 {
		zeros = newFloats(c, q.zero)
	}
	// The dequantised weights are packed as B, [N][K], once if all of it is constant.
	var s, z []float32
	at := func(i, _ int) float32 { return q.at(i/q.k, i%q.k, s, z) }
	w := &source[float32]{load: func() func(i, o int) float32 {
		s, z = scales.get(), zeros.get()
		return at
	}}
	if q.w.HasData() && q.scale.HasData() && fixedZero(q.zero) {
		w.constant = q.w
		h := fnv.New128a()
		h.Write(q.scale.Data)
		if q.zero != nil {
			h.Write(q.zero.Data)
		}
		w.kind = fmt.Sprintf("nbits/%d/%d/%x", q.bits, q.block, h.Sum(nil))
	}
	x := &matrices{m: c.In[0].Len() / q.k, k: q.k, n: n, batch: 1, aOff: []int{0}, bOff: []int{0}, bT: true}
	return x.floats(c, w, bias)
}

// at is the weight of column n and k: (q - zero) * scale, where q and zero are unsigned and zero is half the range if it is not given.
func (q *nbits) at(n, k int, scales, zeros []float32) float32 {
	per := 8 / q.bits
	mask := byte(1<<q.bits - 1)
	i := n*q.blocks*q.block + k
	v := q.w.Data[i/per] >> (i % per * q.bits) & mask
	b := k / q.block
	zero := float32(int(1) << (q.bits - 1))
	switch {
	case zeros != nil:
		zero = zeros[n*q.blocks+b]
	case q.zero != nil:
		zero = float32(q.zero.Data[n*q.zeroStride+b/per] >> (b % per * q.bits) & mask)
	}
	return float32(float32(v)-zero) * scales[n*q.blocks+b]
}
