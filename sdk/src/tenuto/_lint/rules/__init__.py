"""One module and one page per rule; `tenuto._lint.rule` says how to write one."""
