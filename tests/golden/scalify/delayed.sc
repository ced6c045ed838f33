; run: scalify --recipe fp8 --scales delayed
graph @mlp(%x: f32[4,8]) -> (%y) {
  %w = const @w : f32[8,8]
  %k = const 300 : f32[]
  %h = mul %x, %k : f32[4,8] from "large"
  %y = matmul %h, %w : f32[4,8] from "up"
}
; --- the largest magnitudes of earlier runs say the exponent; none: that of the estimate; this run's joins them
graph @mlp(%x: f32[4,8]) -> (%y) {
  state @amax.h (%3: f32[16] -> %14)
  %k = const 300 : f32[] * 2^8
  %h = mul %x, %k : f32[4,8] * 2^8 from "large"
  %6 = rebalance %h, 0 : f32[4,8] from "large"
  %7, %8 = measure %3 {zero = 8, margin = 1} : i64[], f32[] from "large"
  %9 = bind %7 {as = [e.0]} : i64[] from "large"
  %10, %11 = measure %6 : i64[], f32[] from "large"
  %12 = reshape %11 : f32[1] from "large"
  %13 = slice %3 {starts = [1], ends = [16], axes = [0]} : f32[15] from "large"
  %14 = concat %13, %12 {axis = 0} : f32[16] from "large"
  %15 = rebalance %h, e.0 : f32[4,8] * 2^e.0 from "large"
  %w = const @w : f32[8,8]
  %17 = matmul %15, %w : f32[4,8] * 2^e.0 from "up"
  %18 = rebalance %17, e.0+2 : f32[4,8] * 2^(e.0+2) from "up"
  %y = rebalance %18, 0 : f32[4,8] from "up"
}
