; run: scalify --scaled-io
graph @g(%a: f32[4], %b: f32[4]) -> (%s) {
  %m = mul %a, %b : f32[4]
  %s = add %m, %b : f32[4]
}
; --- each input gains an exponent; the sum is taken at the larger one; at g = 1/2 nothing moves
graph @g(%a: f32[4] * 2^p, %b: f32[4] * 2^q) -> (%s) {
  %m = mul %a, %b : f32[4] * 2^(p+q)
  %5 = rebalance %m, max(p+q,q) : f32[4] * 2^max(p+q,q)
  %6 = rebalance %b, max(p+q,q) : f32[4] * 2^max(p+q,q)
  %s = add %5, %6 : f32[4] * 2^max(p+q,q)
}
