package tflite

import (
	"strconv"
	"strings"

	"github.com/edgerun/edgerun/model"
)

// normalisation is the kind of a process unit that holds mean and deviation.
const normalisation = 1

// metadata reads from TFLite's metadata, a flatbuffer of its own in one of the model's buffers, how the first input is
// normalised: (x - mean) / std, one number or one per channel. They become the entries tflite.mean and tflite.std, with
// colons between numbers. Metadata that are damaged say nothing: no inference depends on them.
func (m *importer) metadata(buffer []byte, g *model.Graph) {
	r := &reader{b: buffer, budget: 1 << 16}
	if string(r.bytes(4, 4)) != "M001" {
		return
	}
	for _, sub := range first(r.table(r.u32(0)).tables(3)) {
		for _, input := range first(sub.tables(2)) {
			for _, unit := range input.tables(4) {
				if unit.i8(0, 0) != normalisation {
					continue
				}
				options := unit.sub(1)
				mean, std := options.floats(0), options.floats(1)
				if r.err == nil && len(mean) > 0 && len(std) > 0 {
					g.Meta["tflite.mean"], g.Meta["tflite.std"] = colons(mean), colons(std)
				}
			}
		}
	}
}

func first(list []table) []table { return list[:min(1, len(list))] }

func colons(v []float32) string {
	list := make([]string, len(v))
	for i, x := range v {
		list[i] = strconv.FormatFloat(float64(x), 'g', -1, 32)
	}
	return strings.Join(list, ":")
}
