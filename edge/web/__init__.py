"""The page that a gateway shows to who looks at it."""
