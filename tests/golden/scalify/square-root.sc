; run: scalify --scaled-io
graph @g(%a: f32[4], %b: f32[4]) -> (%y, %z) {
  %m = abs %a : f32[4]
  %y = sqrt %m : f32[4]
  %z = div %b, %y : f32[4]
}
; --- the odd bit of an exponent moves into the data
graph @g(%a: f32[4] * 2^p, %b: f32[4] * 2^q) -> (%y, %z) {
  %m = abs %a : f32[4] * 2^p
  %5 = rebalance %m, 2*floordiv(p,2) : f32[4] * 2^(2*floordiv(p,2))
  %y = sqrt %5 : f32[4] * 2^floordiv(p,2)
  %z = div %b, %y : f32[4] * 2^(q-floordiv(p,2))
}
