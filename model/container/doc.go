// Package container reads and writes the .edge file: a network with everything that belongs to it, compressed and
// signed. FORMAT.md beside this file defines the bytes.
//
// Write takes a Model and gives the same bytes for the same Model. Open verifies the signatures before it parses
// anything that they cover, then gives the parts on demand: each chunk's stored bytes are checked against their hash
// before they are decoded, the decoded bytes against the chunk's identity. All sizes and counts have limits that are
// checked before memory is taken. A File may be used by several goroutines at once.
//
// container imports model and internal; quant, runtime, agent and cmd import it.
package container
