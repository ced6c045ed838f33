; run: raise
; idempotent
graph @stored(%codes: f8e4m3fn[3,2]) -> (%y, %z, %v) {
  %row = const [2,0,-1,1] : i64[4]
  %s = const 0.3 : f32[]
  %1 = cast %codes {to = f32} : f32[3,2] from "table"
  %2 = mul %1, %s : f32[3,2] from "table"
  %y = gather %2, %row {axis = 0} : f32[4,2] from "rows"
  %z = gather %1, %row {axis = 0} : f32[4,2] from "rows alone"
  %w = const [0.3,0.5] : f32[2]
  %3 = mul %1, %w : f32[3,2] from "by column"
  %v = gather %3, %row {axis = 0} : f32[4,2] from "other rows"
}
; --- rows are picked as they are stored, and widened then
graph @stored(%codes: f8e4m3fn[3,2]) -> (%y, %z, %v) {
  %3 = cast %codes : f32[3,2] from "table"
  %row = const [2,0,-1,1] : i64[4]
  %5 = gather %codes, %row : f8e4m3fn[4,2] from "rows", "table"
  %z = cast %5 : f32[4,2] from "rows", "table"
  %s = const 0.3 : f32[]
  %y = mul %z, %s : f32[4,2] from "rows", "table"
  %w = const [0.3,0.5] : f32[2]
  %10 = mul %3, %w : f32[3,2] from "by column"
  %v = gather %10, %row : f32[4,2] from "other rows"
}
