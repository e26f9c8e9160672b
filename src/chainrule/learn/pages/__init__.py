"""Templates, style sheets and scripts of the pages to learn with."""
