"""How the pass `stage` turns graph nodes into stages and streams: drafts, anchors, rowwise nodes."""
