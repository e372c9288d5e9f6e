package tflite

import (
	"archive/zip"
	"bytes"
	"io"
	"strings"
)

const (
	maxLabels    = 4 << 20   // bytes of the label file that may be appended to a model
	maxDirectory = 256 << 10 // bytes of the archive's directory
)

// boundedReader refuses to read more than so many bytes in all.
type boundedReader struct {
	r    io.ReaderAt
	left int
}

func (b *boundedReader) ReadAt(p []byte, off int64) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, ErrLimit
	}
	return b.r.ReadAt(p, off)
}

// zippedLabels returns the first text file of the zip archive that TFLite's metadata tools append to a model; "" where
// there is none.
func zippedLabels(b []byte) string {
	src := &boundedReader{bytes.NewReader(b), maxDirectory}
	z, err := zip.NewReader(src, int64(len(b)))
	if err != nil {
		return ""
	}
	src.left = maxLabels
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, ".txt") || f.UncompressedSize64 > maxLabels {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return ""
		}
		text, err := io.ReadAll(io.LimitReader(r, maxLabels))
		r.Close()
		if err != nil {
			return ""
		}
		return strings.TrimRight(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	}
	return ""
}
