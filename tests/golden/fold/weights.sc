; run: fold
; idempotent
graph @g(%x: f32[1,64,4,4], %h: f32[3,192]) -> (%y, %z, %p) {
  %a = const 3 : i8[]
  %s = const 0.5 : f32[]
  %w = expand %a : i8[64,64,3,3] from "w"
  %c = cast %w : f32[64,64,3,3] from "w_DequantizeLinear"
  %d = mul %c, %s : f32[64,64,3,3] from "w_DequantizeLinear"
  %y = conv %x, %d : f32[1,64,2,2] from "Conv"
  %v = expand %a : i8[64,32,3,3] from "v"
  %e = cast %v : f32[64,32,3,3] from "v_DequantizeLinear"
  %z = exp %e : f32[64,32,3,3] from "Exp"
  %u = expand %a : i8[128,192] from "u"
  %f = cast %u : f32[128,192] from "u_DequantizeLinear"
  %t = transpose %f {perm = [1,0]} : f32[192,128] from "u_Transpose"
  %p = matmul %h, %t : f32[3,128] from "MatMul"
}
; --- of the filter 36 KB become 147 KB, of the product's weights 24 KB 98 KB; all else stays small
graph @g(%x: f32[1,64,4,4], %h: f32[3,192]) -> (%y, %z, %p) {
  %d = const @fold.d5d21e996a8d46ea : f32[64,64,3,3] from "w_DequantizeLinear"
  %y = conv %x, %d : f32[1,64,2,2] from "Conv"
  %v = const @fold.a1314cfa2834f2c8 : i8[64,32,3,3] from "v"
  %e = cast %v : f32[64,32,3,3] from "v_DequantizeLinear"
  %z = exp %e : f32[64,32,3,3] from "Exp"
  %t = const @fold.7f42b3eb543692ea : f32[192,128] from "u_Transpose"
  %p = matmul %h, %t : f32[3,128] from "MatMul"
}
