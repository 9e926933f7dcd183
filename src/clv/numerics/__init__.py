"""Arrays in, arrays out: special functions, quadrature, one formula for several libraries."""
