package cases

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Row is a row of the comparison. Times are latencies in ms.
type Row struct {
	Case    string
	Threads int
	MS      float64 // edgerun's; 0 where it fails
	Peer    string  // the best one; "" where none runs the case
	PeerMS  float64
	Others  string  // the other peers, with theirs
	Share   float64 // of the machine's peak
	// MiB is what edgerun's loading and running adds to the resident size, and LeastMiB the least of the peers.
	MiB, LeastMiB float64
}

// Head is the head of the table of rows, in Markdown.
const Head = `| case | threads | edgerun | best peer | ratio | others | share of peak | memory | least of the peers |
|---|---|---|---|---|---|---|---|---|
`

// Ratio is the best peer's latency over edgerun's; 0 where there are not both.
func (r *Row) Ratio() float64 {
	if r.MS <= 0 {
		return 0
	}
	return r.PeerMS / r.MS
}

// String is the row in Markdown.
func (r Row) String() string {
	mine, peer, ratio := "fails", "none", ""
	if r.MS > 0 {
		mine = fmt.Sprintf("%.4g", r.MS)
	}
	if r.Peer != "" {
		peer = fmt.Sprintf("%s %.4g", r.Peer, r.PeerMS)
	}
	if x := r.Ratio(); x > 0 {
		ratio = fmt.Sprintf("**%.2f**", x)
	}
	return fmt.Sprintf("| %s | %d | %s | %s | %s | %s | %.0f %% | %.1f | %.1f |", r.Case, r.Threads, mine, peer, ratio, r.Others, 100*r.Share, r.MiB, r.LeastMiB)
}

// Parse reads the rows of a page, to as many digits as it has.
func Parse(page string) []Row {
	var list []Row
	for line := range strings.Lines(page) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != 11 {
			continue
		}
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		number := func(i int) float64 {
			x, err := strconv.ParseFloat(strings.TrimSuffix(f[i], " %"), 64)
			if err != nil {
				return 0
			}
			return x
		}
		r := Row{Case: f[1], MS: number(3), Others: f[6], Share: number(7) / 100, MiB: number(8), LeastMiB: number(9)}
		if r.Threads = int(number(2)); r.Threads < 1 {
			continue // the head
		}
		if name, ms, ok := strings.Cut(f[4], " "); ok {
			if x, err := strconv.ParseFloat(ms, 64); err == nil {
				r.Peer, r.PeerMS = name, x
			}
		}
		list = append(list, r)
	}
	return list
}

// Counted is the latency of the best peer, in ms, from which a row counts; below it a good part of a peer's time is Python's.
const Counted = 0.1

// Summary is what the rows that some peer runs say together. Where edgerun fails, its ratio is 0.
type Summary struct {
	Rows, Ahead    int     // that count, and of these those in which edgerun is faster than every peer
	Mean           float64 // geometric, of the ratios that count
	Worst          float64 // ratio that counts
	WorstCase      string
	Heavy          int     // of the rows that count, those in which edgerun adds more memory than the least of the peers
	Heaviest       float64 // memory over the least of the peers
	HeaviestCase   string
	Small          int // rows that do not count
	SmallBehind    int // of these, those whose ratio is below 1
	SmallWorst     float64
	SmallWorstCase string
}

// Summarise sums rows up.
func Summarise(rows []Row) Summary {
	s := Summary{Worst: math.Inf(1), SmallWorst: math.Inf(1)}
	logs := 0.0
	for i := range rows {
		r := &rows[i]
		if r.Peer == "" {
			continue
		}
		x, name := r.Ratio(), fmt.Sprintf("%s on %d", r.Case, r.Threads)
		if r.PeerMS < Counted {
			s.Small++
			if x < 1 {
				s.SmallBehind++
			}
			if x < s.SmallWorst {
				s.SmallWorst, s.SmallWorstCase = x, name
			}
			continue
		}
		s.Rows++
		logs += math.Log(x)
		if x > 1 {
			s.Ahead++
		}
		if x < s.Worst {
			s.Worst, s.WorstCase = x, name
		}
		if r.MiB > r.LeastMiB {
			s.Heavy++
		}
		if h := r.MiB / max(r.LeastMiB, .1); h > s.Heaviest {
			s.Heaviest, s.HeaviestCase = h, name
		}
	}
	if s.Rows > 0 {
		s.Mean = math.Exp(logs / float64(s.Rows))
	}
	return s
}
