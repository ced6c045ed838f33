; run: scalify --scaled-io
graph @g(%x: f32[n,n]) -> (%y) {
  %m0 = matmul %x, %x : f32[n,n]
  %s0 = add %x, %m0 : f32[n,n]
  %m1 = matmul %s0, %s0 : f32[n,n]
  %s1 = add %s0, %m1 : f32[n,n]
  %m2 = matmul %s1, %s1 : f32[n,n]
  %y = add %s1, %m2 : f32[n,n]
}
; --- an exponent is chosen among those that are there, and so does not grow from level to level
graph @g(%x: f32[n,n] * 2^p) -> (%y) {
  %m0 = matmul %x, %x : f32[n,n] * 2^(2*p)
  %4 = rebalance %m0, 2*p+floordiv(log2(n),2) : f32[n,n] * 2^(2*p+floordiv(log2(n),2))
  %5 = rebalance %4, p : f32[n,n] * 2^p
  %s0 = add %x, %5 : f32[n,n] * 2^p
  %m1 = matmul %s0, %s0 : f32[n,n] * 2^(2*p)
  %8 = rebalance %m1, 2*p+floordiv(log2(n),2)+1 : f32[n,n] * 2^(2*p+floordiv(log2(n),2)+1)
  %9 = rebalance %8, p : f32[n,n] * 2^p
  %s1 = add %s0, %9 : f32[n,n] * 2^p
  %11 = rebalance %s1, p+1 : f32[n,n] * 2^(p+1)
  %m2 = matmul %11, %11 : f32[n,n] * 2^(2*p+2)
  %13 = rebalance %m2, 2*p+floordiv(log2(n),2)+2 : f32[n,n] * 2^(2*p+floordiv(log2(n),2)+2)
  %14 = rebalance %13, p+1 : f32[n,n] * 2^(p+1)
  %y = add %11, %14 : f32[n,n] * 2^(p+1)
}
