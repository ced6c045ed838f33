; run: scalify --recipe fp8 --scales dynamic
graph @mlp(%x: f32[4,8]) -> (%y, %z) {
  %w = const @w : f32[8,8]
  %v = const @v : f32[4,2]
  %h = matmul %x, %w : f32[4,8] from "up"
  %g = relu %h : f32[4,8] from "relu"
  %t = reshape %g : f32[8,4] from "fold"
  %y = matmul %t, %v : f32[8,2] from "down"
  %z = matmul %g, %w : f32[4,8] from "other"
}
; --- each value that a product stores is measured once, where it is made; a view of it has its exponent; rows that follow give the symbol on
graph @mlp(%x: f32[4,8]) -> (%y, %z) {
  %3, %4 = measure %x : i64[], f32[]
  %5 = bind %3 {as = [e.0]} : i64[]
  %6 = rebalance %x, e.0 : f32[4,8] * 2^e.0
  %w = const @w : f32[8,8]
  %h = matmul %6, %w : f32[4,8] * 2^e.0 from "up"
  %9 = rebalance %h, e.0+2 : f32[4,8] * 2^(e.0+2) from "up"
  %g = relu %9 : f32[4,8] * 2^(e.0+2) from "relu"
  %11 = rebalance %g, e.0+1 : f32[4,8] * 2^(e.0+1) from "relu"
  %12 = rebalance %11, 0 : f32[4,8] from "relu"
  %13, %14 = measure %12 : i64[], f32[] from "relu"
  %15 = bind %13 {as = [e.1]} : i64[] from "relu"
  %16 = rebalance %11, e.1 : f32[4,8] * 2^e.1 from "relu"
  %t = reshape %16 : f32[8,4] * 2^e.1 from "fold"
  %v = const @v : f32[4,2]
  %19 = matmul %t, %v : f32[8,2] * 2^e.1 from "down"
  %20 = rebalance %19, e.1+1 : f32[8,2] * 2^(e.1+1) from "down"
  %21 = matmul %16, %w : f32[4,8] * 2^e.1 from "other"
  %22 = rebalance %21, e.1+2 : f32[4,8] * 2^(e.1+2) from "other"
  %y = rebalance %20, 0 : f32[8,2] from "down"
  %z = rebalance %22, 0 : f32[4,8] from "other"
}
