"""The lessons as data: one TOML file each, rendered by `chainrule.learn.course`."""
