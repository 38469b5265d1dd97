"""Images as bytes: of published data sets, and of archives of anybody's."""
