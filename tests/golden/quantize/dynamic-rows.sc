; run: scalify quantize settle --recipe fp8 --scales dynamic-rows
; rtol 0.1
graph @rows(%x: f32[4,8], %k: f32[8,4]) -> (%y, %z) {
  %w = const @w : f32[8,8]
  %b = const @b : f32[8]
  %y = gemm %x, %w, %b : f32[4,8] from "fc"
  %z = matmul %x, %k : f32[4,4] from "scores"
}
; --- each row of operand 0 has a scale, which its row of the result is multiplied by, before the bias; operand 1 has one for all
graph @rows(%x: f32[4,8], %k: f32[8,4]) -> (%y, %z) {
  %4, %5 = measure %k : i64[], f32[]
  %6 = bind %4 {as = [e.0]} : i64[]
  %7, %8 = quantize %x {block = 8} : f8e4m3fn[4,8], f8e8m0[4,1] from "fc"
  %9 = cast %8 : f32[4,1] from "fc"
  %w = const @fold.b7efab27d250df3d : f8e4m3fn[8,8]
  %11 = gemm %7, %w : f32[4,8] from "fc"
  %12 = const @fold.db054e1edc81f150 : f32[8] from "fc"
  %13 = mul %11, %12 : f32[4,8] from "fc"
  %14 = mul %13, %9 : f32[4,8] from "fc"
  %b = const @b : f32[8]
  %y = add %14, %b : f32[4,8] from "fc"
  %17 = rebalance %k, e.0-5 : f32[8,4] * 2^(e.0-5) from "scores"
  %18 = cast %17 : f8e4m3fn[8,4] * 2^(e.0-5) from "scores"
  %19 = matmul %7, %18 : f32[4,4] * 2^(e.0-5) from "scores"
  %20 = rebalance %19, 0 : f32[4,4] from "scores"
  %z = mul %20, %9 : f32[4,4] from "scores"
}
