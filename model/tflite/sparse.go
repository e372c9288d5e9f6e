package tflite

import (
	"fmt"
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
)

// dense fills a tensor from the values of a sparse one. Its levels are dimensions, then blocks within them, in the order in which
// the data lie; a level is dense, or lists the indices that are there.
func (b *builder) dense(s table, d tensor.DType, shape []int, data []byte) ([]byte, error) {
	order, blocks, levels := s.ints(0), s.ints(1), s.tables(2)
	rank := len(shape)
	if b.r.err != nil {
		return nil, b.r.err
	}
	if len(order) != len(levels) || len(order) != rank+len(blocks) || len(order) > 2*tensor.MaxRank {
		return nil, fmt.Errorf("%w: %d levels in the order %v for shape %v and blocks %v", ErrFormat, len(levels), order, shape, blocks)
	}
	size := d.Bits() / 8
	if size == 0 {
		return nil, fmt.Errorf("sparse data of type %v: %w", d, ErrUnsupported)
	}
	n, err := tensor.Shape(shape).Size()
	if err != nil {
		return nil, err
	}
	if !b.r.chargeTensor(d, n) {
		return nil, b.r.err
	}
	l := make([]sparseLevel, len(order))
	seen := map[int]bool{}
	inner := map[int]int{} // extents of blocks by dimension
	for i, o := range order {
		if o < 0 || o >= len(order) || seen[o] {
			return nil, fmt.Errorf("%w: traversal order %v", ErrFormat, order)
		}
		seen[o] = true
		l[i] = sparseLevel{sparse: levels[i].i8(0, 0) == 1, extent: levels[i].i32(1, 0), dim: o}
		if o >= rank {
			if k := blocks[o-rank]; k < 0 || k >= rank {
				return nil, fmt.Errorf("%w: block map %v", ErrFormat, blocks)
			}
			l[i].dim, l[i].block = blocks[o-rank], true
			if l[i].extent < 1 || l[i].sparse || inner[l[i].dim] != 0 {
				return nil, fmt.Errorf("%w: level %d is no block", ErrFormat, i)
			}
			inner[l[i].dim] = l[i].extent
		}
		if l[i].sparse {
			if l[i].segments, err = b.indices(levels[i], 2); err == nil {
				l[i].indices, err = b.indices(levels[i], 4)
			}
			if err != nil {
				return nil, fmt.Errorf("level %d: %w", i, err)
			}
			if seg := l[i].segments; !slices.IsSorted(seg) || len(seg) == 0 || seg[0] < 0 || seg[len(seg)-1] > len(l[i].indices) {
				return nil, fmt.Errorf("%w: level %d: the segments of %d indices do not rise", ErrFormat, i, len(l[i].indices))
			}
		}
	}
	strides := tensor.Shape(shape).Strides()
	for i := range l {
		d, k := l[i].dim, max(1, inner[l[i].dim])
		l[i].limit, l[i].step = k, strides[d]
		if !l[i].block {
			if shape[d]%k != 0 || !l[i].sparse && l[i].extent != shape[d]/k {
				return nil, fmt.Errorf("%w: level %d has extent %d, dimension %d of %v in blocks of %d", ErrFormat, i, l[i].extent, d, shape, k)
			}
			l[i].limit, l[i].step = shape[d]/k, strides[d]*k
		}
	}
	w := sparseWalk{levels: l, src: data, dst: tensor.AlignedBytes(n * size), size: size}
	if n == 0 {
		return w.dst, nil
	}
	if err := w.walk(0, 0, 0); err != nil {
		return nil, err
	}
	if w.read != len(data)/size {
		return nil, fmt.Errorf("%w: %d values of sparse data, %d are placed", ErrFormat, len(data)/size, w.read)
	}
	return w.dst, nil
}

type sparseLevel struct {
	sparse, block     bool
	extent, dim       int
	segments, indices []int
	limit, step       int // of the indices, and what one more is worth in elements
}

type sparseWalk struct {
	levels   []sparseLevel
	src, dst []byte
	size     int
	read     int
}

// walk places the values of entry from of a level, which begin at element at.
func (w *sparseWalk) walk(level, from, at int) error {
	if level == len(w.levels) {
		if (w.read+1)*w.size > len(w.src) {
			return fmt.Errorf("%w: sparse data end after %d values", ErrFormat, w.read)
		}
		copy(w.dst[at*w.size:(at+1)*w.size], w.src[w.read*w.size:])
		w.read++
		return nil
	}
	l := &w.levels[level]
	if !l.sparse {
		for i := range l.extent {
			if err := w.walk(level+1, from*l.extent+i, at+i*l.step); err != nil {
				return err
			}
		}
		return nil
	}
	if from+1 >= len(l.segments) {
		return fmt.Errorf("%w: level %d has no segment %d", ErrFormat, level, from)
	}
	for i := l.segments[from]; i < l.segments[from+1]; i++ {
		k := l.indices[i]
		if k < 0 || k >= l.limit {
			return fmt.Errorf("%w: level %d: index %d of %d", ErrFormat, level, k, l.limit)
		}
		if err := w.walk(level+1, i, at+k*l.step); err != nil {
			return err
		}
	}
	return nil
}

// indices reads a vector of indices, whose kind is in one field and which is in the next.
func (b *builder) indices(t table, field int) ([]int, error) {
	v := t.sub(field + 1)
	var list []int
	switch kind := t.i8(field, 0); kind {
	case 1:
		list = v.ints(0)
	case 2:
		at, n := v.vector(0, 2)
		if v.room(n, 8) {
			for i := range n {
				list = append(list, b.r.u16(at+2*i))
			}
		}
	case 3:
		d := v.data(0)
		if v.room(len(d), 8) {
			for _, x := range d {
				list = append(list, int(x))
			}
		}
	default:
		return nil, fmt.Errorf("%w: indices of kind %d", ErrFormat, kind)
	}
	return list, b.r.err
}

// densify: its input was made dense when it was read.
func densify(b *builder) {
	x := b.i(0)
	if x.Const == nil || len(b.out) != 1 || b.out[0] < 0 || b.out[0] >= len(b.values) || b.values[b.out[0]] != nil {
		b.fail("input 0 is not constant: %w", ErrUnsupported)
		return
	}
	b.values[b.out[0]] = x
}
