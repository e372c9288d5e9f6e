package detect

import (
	"cmp"
	"slices"
)

// Box is an axis-parallel rectangle with its class.
type Box struct {
	X0, Y0, X1, Y1 float32
	Score          float32
	Class          int
}

func (b *Box) area() float32 { return float32(max(b.X1-b.X0, 0) * max(b.Y1-b.Y0, 0)) }

// IoU is the area of the intersection divided by that of the union, in float32; 0 where the union is empty.
func IoU(a, b *Box) float32 {
	w := min(a.X1, b.X1) - max(a.X0, b.X0)
	h := min(a.Y1, b.Y1) - max(a.Y0, b.Y0)
	if !(w > 0 && h > 0) {
		return 0
	}
	in := float32(w * h)
	union := a.area() + b.area() - in
	if !(union > 0) {
		return 0
	}
	return in / union
}

// NMS returns the boxes that survive non-maximum suppression, best first, at most limit of them (0: all). Boxes are taken by
// falling score, equal scores in the order given; a box goes where its IoU with one that was kept is greater than
// iou and, unless agnostic is set, both have the same class. At most candidates boxes (0: all) are looked at.
func NMS(boxes []Box, iou float32, agnostic bool, candidates, limit int) []Box {
	sorted := slices.Clone(boxes)
	slices.SortStableFunc(sorted, func(a, b Box) int { return cmp.Compare(b.Score, a.Score) })
	if candidates > 0 && len(sorted) > candidates {
		sorted = sorted[:candidates]
	}
	var kept []Box
next:
	for i := range sorted {
		for k := range kept {
			if (agnostic || kept[k].Class == sorted[i].Class) && IoU(&kept[k], &sorted[i]) > iou {
				continue next
			}
		}
		kept = append(kept, sorted[i])
		if limit > 0 && len(kept) == limit {
			break
		}
	}
	return kept
}
