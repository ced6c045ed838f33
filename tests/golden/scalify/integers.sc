; run: scalify
; blob w rms 0.02
graph @g(%i: i64[4], %x: f32[4,4]) -> (%y, %k) {
  %w = const @w : f32[4,4]
  %s = matmul %x, %w : f32[4,4]
  %k = cast %s : i32[4,4]
  %f = cast %i : f32[4]
  %y = add %s, %f : f32[4,4]
}
; --- an integer is taken and given at exponent 0
graph @g(%i: i64[4], %x: f32[4,4]) -> (%y, %k) {
  %w = const @w : f32[4,4] * 2^-6
  %s = matmul %x, %w : f32[4,4] * 2^-6
  %6 = rebalance %s, -5 : f32[4,4] * 2^-5
  %7 = rebalance %6, 0 : f32[4,4]
  %k = cast %7 : i32[4,4]
  %f = cast %i : f32[4]
  %y = add %7, %f : f32[4,4]
}
