"""The 4D cache on disk: written round by round, verified, exported. Its schema is ``perpetua_protocol.cache``."""
