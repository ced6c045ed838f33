; run: scalify
graph @gram(%x: f32[n,8]) -> (%y) {
  %t = transpose %x {perm = [1,0]} : f32[8,n]
  %y = matmul %t, %x : f32[8,8]
}
; --- a symbolic extent adds half its logarithm to the exponent, as a term
graph @gram(%x: f32[n,8]) -> (%y) {
  %t = transpose %x {perm = [1,0]} : f32[8,n]
  %4 = matmul %t, %x : f32[8,8]
  %5 = rebalance %4, floordiv(log2(n),2) : f32[8,8] * 2^floordiv(log2(n),2)
  %y = rebalance %5, 0 : f32[8,8]
}
