package tflite

import (
	"archive/zip"
	"bytes"
	"io"
	"strings"
)

// maxLabels bounds the label file that may be appended to a model.
const maxLabels = 4 << 20

// zippedLabels returns the first text file of the zip archive that TFLite's metadata tools append to a model; "" where
// there is none.
func zippedLabels(b []byte) string {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return ""
	}
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
