; run: raise
; idempotent
; rtol 1e-4
graph @g(%a: f32[2,5], %b: f32[2,5]) -> (%y, %z) {
  %r2 = const 0.70710677 : f32[]
  %one = const 1 : f32[]
  %half = const 0.5 : f32[]
  %x = mul %a, %b : f32[2,5] from "x"
  %1 = mul %r2, %x : f32[2,5] from "Mul"
  %2 = erf %1 : f32[2,5] from "Erf"
  %3 = add %one, %2 : f32[2,5] from "Add"
  %4 = mul %3, %half : f32[2,5] from "Half"
  %y = mul %4, %x : f32[2,5] from "Gelu"
  %z = mul %4, %a : f32[2,5] from "of another x"
}
; --- x may be a product itself; the gate must be of the same x
graph @g(%a: f32[2,5], %b: f32[2,5]) -> (%y, %z) {
  %x = mul %a, %b : f32[2,5] from "x"
  %r2 = const 0.70710677 : f32[]
  %6 = mul %x, %r2 : f32[2,5] from "Mul"
  %7 = erf %6 : f32[2,5] from "Erf"
  %one = const 1 : f32[]
  %9 = add %7, %one : f32[2,5] from "Add"
  %half = const 0.5 : f32[]
  %11 = mul %9, %half : f32[2,5] from "Half"
  %y = gelu %x, %one {approximate = none} : f32[2,5] from "Gelu", "Half", "Add", "Erf", "Mul"
  %z = mul %11, %a : f32[2,5] from "of another x"
}
