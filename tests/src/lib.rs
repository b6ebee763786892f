//! System tests against the real daemon, registry, OSTree and crun.
