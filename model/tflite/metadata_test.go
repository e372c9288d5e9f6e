package tflite

import (
	"math"
	"testing"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/edgerun/edgerun/model"
)

// normalised builds metadata that say how the first input is normalised.
func normalised(mean, std []float32) []byte {
	b := flatbuffers.NewBuilder(256)
	numbers := func(v []float32) flatbuffers.UOffsetT {
		list := make([]int32, len(v))
		for i, x := range v {
			list[i] = int32(math.Float32bits(x))
		}
		return vector32(b, list)
	}
	object := func(fields int, set func()) flatbuffers.UOffsetT {
		b.StartObject(fields)
		set()
		return b.EndObject()
	}
	m, s := numbers(mean), numbers(std)
	options := object(2, func() { b.PrependUOffsetTSlot(0, m, 0); b.PrependUOffsetTSlot(1, s, 0) })
	unit := object(2, func() { b.PrependByteSlot(0, normalisation, 0); b.PrependUOffsetTSlot(1, options, 0) })
	units := offsets(b, []flatbuffers.UOffsetT{unit})
	tensor := object(5, func() { b.PrependUOffsetTSlot(4, units, 0) })
	tensors := offsets(b, []flatbuffers.UOffsetT{tensor})
	graph := object(3, func() { b.PrependUOffsetTSlot(2, tensors, 0) })
	graphs := offsets(b, []flatbuffers.UOffsetT{graph})
	root := object(4, func() { b.PrependUOffsetTSlot(3, graphs, 0) })
	b.FinishWithFileIdentifier(root, []byte("M001"))
	return b.FinishedBytes()
}

func TestMetadata(t *testing.T) {
	good := normalised([]float32{127.5, 1, 2}, []float32{58.4})
	g := &model.Graph{Meta: map[string]string{}}
	(&importer{}).metadata(good, g)
	if g.Meta["tflite.mean"] != "127.5:1:2" || g.Meta["tflite.std"] != "58.4" {
		t.Errorf("%v", g.Meta)
	}
	// Damaged metadata are left alone, wherever the damage is.
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x80
		(&importer{}).metadata(bad, &model.Graph{Meta: map[string]string{}})
		(&importer{}).metadata(good[:i], &model.Graph{Meta: map[string]string{}})
	}
}
