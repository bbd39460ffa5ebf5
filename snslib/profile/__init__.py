"""Which neurons of any model are sensitive: a network and images in, tables and a page out."""
