package peak_test

import (
	"testing"

	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/peak"
)

// Every row is timed, also where sizes are no multiples of its tile.
func TestProducts(t *testing.T) {
	var rows []*spec.Row
	for _, r := range kernels.Here().Rows() {
		if r.Op == spec.Gemm {
			rows = append(rows, &r)
		}
	}
	for _, d := range [][3]int{{1, 1, 1}, {13, 50, 7}, {60, 100, 33}} {
		list, err := peak.Products(rows, d[0], d[1], d[2], 2, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range list {
			if p.Row != rows[i] || !(p.GMACs > 0) || !(p.ShareOfPeak > 0) || !(p.MS > 0) {
				t.Errorf("%v: %+v", d, p)
			}
		}
	}
	if _, err := peak.Products(rows, 0, 1, 1, 1, 0); err == nil {
		t.Error("an empty product is timed")
	}
}
