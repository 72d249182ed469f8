/** Binary operators between values of which at least one may be a histogram. */
