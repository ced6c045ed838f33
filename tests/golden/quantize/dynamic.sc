; run: scalify quantize settle --recipe fp8 --scale tensor --scales dynamic
; rtol 0.2
graph @mlp(%x: f32[4,8], %r: f32[4,8]) -> (%y) {
  %w = const @w : f32[8,8]
  %b = const @b : f32[8]
  %h = gemm %x, %w, %b : f32[4,8] from "up"
  %s = add %h, %r : f32[4,8] from "sum"
  %y = matmul %s, %w : f32[4,8] from "down"
}
; --- the cast has the exponent found, the product leaves without it
graph @mlp(%x: f32[4,8], %r: f32[4,8]) -> (%y) {
  %4, %5 = measure %x : i64[], f32[]
  %6 = bind %4 {as = [e.0]} : i64[]
  %7 = rebalance %x, e.0-5 : f32[4,8] * 2^(e.0-5) from "up"
  %8 = cast %7 : f8e4m3fn[4,8] * 2^(e.0-5) from "up"
  %b = const @b : f32[8]
  %b~2 = rebalance %b, e.0-12 : f32[8] * 2^(e.0-12) from "up"
  %w = const @w : f8e4m3fn[8,8] * 2^-7
  %h = gemm %8, %w, %b~2 : f32[4,8] * 2^(e.0-12) from "up"
  %13 = rebalance %h, 0 : f32[4,8] from "up"
  %s = add %13, %r : f32[4,8] from "sum"
  %15, %16 = measure %s : i64[], f32[] from "sum"
  %17 = bind %15 {as = [e.1]} : i64[] from "sum"
  %18 = rebalance %s, e.1-5 : f32[4,8] * 2^(e.1-5) from "down"
  %19 = cast %18 : f8e4m3fn[4,8] * 2^(e.1-5) from "down"
  %20 = matmul %19, %w : f32[4,8] * 2^(e.1-12) from "down"
  %y = rebalance %20, 0 : f32[4,8] from "down"
}
