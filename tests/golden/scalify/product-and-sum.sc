; run: scalify --scaled-io
graph @g(%a: f32[4], %b: f32[4]) -> (%s) {
  %m = mul %a, %b : f32[4]
  %s = add %m, %b : f32[4]
}
; --- each input gains an exponent; p+q and q have no largest, so the sum is taken at the first
graph @g(%a: f32[4] * 2^p, %b: f32[4] * 2^q) -> (%s) {
  %m = mul %a, %b : f32[4] * 2^(p+q)
  %5 = rebalance %b, p+q : f32[4] * 2^(p+q)
  %s = add %m, %5 : f32[4] * 2^(p+q)
}
