; run: scalify quantize settle --recipe f16
; rtol 0.01
graph @dense(%x: f32[1,2,4,4]) -> (%y) {
  %w = const [1,2,3,4] as f32[2,2,1,1] : f32[2,2,1,1]
  %1 = conv %x, %w : f32[1,2,4,4] from "conv"
  %y = concat %x, %1 {axis = 1} : f32[1,4,4,4]
}
; --- weights meet any input that a result holds too: it is no cache
graph @dense [scaled, quantized] (%x: f32[1,2,4,4]) -> (%y) {
  %3 = rebalance %x, -2 : f32[1,2,4,4] * 2^-2 from "conv"
  %4 = cast %3 : f16[1,2,4,4] * 2^-2 from "conv"
  %w = const [1,2,3,4] as f32[2,2,1,1] : f16[2,2,1,1] * 2^-13
  %6 = conv %4, %w {out = f32} : f32[1,2,4,4] * 2^-15 from "conv"
  %7 = rebalance %6, 0 : f32[1,2,4,4]
  %y = concat %x, %7 {axis = 1} : f32[1,4,4,4]
}
