"""How the pass `stage` makes stages and streams of nodes: drafts, anchors, rowwise nodes."""
