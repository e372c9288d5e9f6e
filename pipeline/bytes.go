package pipeline

// tokens lays out the bytes of a file, Begin then Middle then End elements.
func (b *Bytes) tokens(data []byte) []int32 {
	out := make([]int32, b.Begin+b.Middle+b.End)
	for i := range out {
		out[i] = int32(b.Pad)
	}
	block := b.Block
	if block == 0 || block > len(data) {
		block = len(data)
	}
	begin, end := data[:block], data[len(data)-block:]
	if b.Strip {
		for len(begin) > 0 && isSpace(begin[0]) {
			begin = begin[1:]
		}
		for len(end) > 0 && isSpace(end[len(end)-1]) {
			end = end[:len(end)-1]
		}
	}
	put := func(dst []int32, src []byte) {
		for i, v := range src {
			dst[i] = int32(v)
		}
	}
	put(out, begin[:min(len(begin), b.Begin)])
	if b.Middle > 0 {
		n := min(b.Middle, len(data))
		from := (len(data) - n) / 2
		put(out[b.Begin+(b.Middle-n)/2:], data[from:from+n])
	}
	n := min(len(end), b.End)
	put(out[len(out)-n:], end[len(end)-n:])
	return out
}

// isSpace holds for tab, line feed, vertical tab, form feed, carriage return and space.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
