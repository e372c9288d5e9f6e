package pipeline

import (
	"context"
	"fmt"

	"github.com/edgerun/edgerun/pipeline/pixel"
)

// OCR reads pages: Det finds the lines (text_map), Cls, if set, tells which stand on their head (classify, two classes: 0 and
// 180 degrees), Rec reads them (ctc).
type OCR struct {
	Det, Cls, Rec *Pipeline
	// TurnAbove is the score from which Cls is believed; 0 means 0.9.
	TurnAbove float32
	// Margin is how far each box grows before it is read, in parts of its height; below 0 none, 0 means 0.2. Recognisers lose
	// spaces and the ends of lines in boxes that are as tight as detectors give them.
	Margin float64
	// MinScore leaves out lines that Rec is less sure of; 0 leaves out none but empty ones.
	MinScore float32
}

// upright is the ratio of height to width from which a box is taken for a vertical line.
const upright = 1.5

// Read finds and reads the lines of a page, in reading order. Each box becomes an upright picture by pixel.Warp; where that is at
// least 1.5 times as high as wide it is turned by 90 degrees anticlockwise.
func (o *OCR) Read(ctx context.Context, src Source) (*Result, error) {
	if o.Det == nil || o.Rec == nil || o.Det.spec.TextMap == nil || o.Rec.spec.CTC == nil || o.Rec.spec.Image == nil {
		return nil, fmt.Errorf("%w: ocr: needs a detector (text_map) and a recogniser (ctc) of pictures", ErrSpec)
	}
	if o.Cls != nil && (o.Cls.spec.Classify == nil || o.Cls.spec.Image == nil) {
		return nil, fmt.Errorf("%w: ocr: the orientation model must classify pictures", ErrSpec)
	}
	page, err := src.picture(o.Det.opts.Pixels)
	if err != nil {
		return nil, err
	}
	res, err := o.Det.Run(ctx, Source{Image: page})
	if err != nil {
		return nil, fmt.Errorf("text detection: %w", err)
	}
	lines := res.Lines
	res.Lines = nil
	for _, l := range lines {
		if err := o.line(ctx, page, &l); err != nil {
			return nil, fmt.Errorf("line at (%.0f, %.0f): %w", l.Corners[0][0], l.Corners[0][1], err)
		}
		if l.Text != "" && l.Score >= o.MinScore {
			res.Lines = append(res.Lines, l)
		}
	}
	return res, nil
}

func (o *OCR) line(ctx context.Context, page *pixel.Image, l *Line) error {
	var q pixel.Quad
	for i, c := range l.Corners {
		q[i] = pixel.Point{X: c[0], Y: c[1]}
	}
	margin := o.Margin
	if margin == 0 {
		margin = 0.2
	}
	q = q.Grow(max(margin, 0))
	w, h := q.Size()
	crop, err := pixel.Warp(page, q, w, h, o.Rec.opts.Pixels)
	if err != nil {
		return err
	}
	if float64(h) >= upright*float64(w) {
		crop = pixel.Rotate(crop, 270)
		l.Turned = 270
	}
	if o.Cls != nil {
		r, err := o.Cls.Run(ctx, Source{Image: crop})
		if err != nil {
			return fmt.Errorf("orientation: %w", err)
		}
		above := o.TurnAbove
		if above == 0 {
			above = 0.9
		}
		if len(r.Classes) > 0 && r.Classes[0].Index == 1 && r.Classes[0].Score > above {
			crop = pixel.Rotate(crop, 180)
			l.Turned = (l.Turned + 180) % 360
		}
	}
	r, err := o.Rec.Run(ctx, Source{Image: crop})
	if err != nil {
		return fmt.Errorf("recognition: %w", err)
	}
	l.Text, l.Score = r.Text.Text, r.Text.Score
	return nil
}
